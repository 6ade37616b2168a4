"""freightsync keeps ERP, TMS, WMS, carriers and billing in step, and proves it to the cent.

Rooms, and who may import whom: cli -> stages (landing, quality, effects, delivery, reports)
-> systems, warehouse -> formats -> domain. Anyone may import settings and domain.
Nothing under this package imports airflow.
"""
