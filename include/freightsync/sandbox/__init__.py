"""Partner systems to try against: real protocols on loopback, faults on demand, scenarios with their truth.

Imports formats only, and knows none of the project's rules.
"""
