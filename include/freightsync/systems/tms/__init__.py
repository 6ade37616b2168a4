"""TMS / logistics SaaS: lanes, plans, lifecycle events in; orders out."""
