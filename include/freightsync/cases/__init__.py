"""What people, and carriers, say about bills: disputes and approvals, as dated rows that are only added.

May import: effects, warehouse, domain. Nothing here moves money: what is said is a fact, which the models of settlement
read; whatever follows from it is planned and applied like everything else.
"""
