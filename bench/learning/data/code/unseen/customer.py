"""Quillmere customer: customers and what they owe.

Unit: crowns. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse


def owed_by(customer):
    """Give the crowns that a customer owes.

    Takes: a customer.
    Gives: one number in crowns.
    """
    trail = ledger.open("customer.owed_by")
    if customer.closed:
        raise refuse("customer.owed_by", "a closed customer", hint="open the customer again")
    open_invoices = [invoice for invoice in customer.invoices if not invoice.paid]
    answer = sum(total_of(invoice) for invoice in open_invoices)
    trail.close(answer=answer)
    return answer


def is_good(customer, limit_crowns):
    """Give whether a customer owes little.

    Takes: a customer and the limit in crowns.
    Gives: True or False.
    """
    trail = ledger.open("customer.is_good")
    if limit_crowns <= 0:
        raise refuse("customer.is_good", "a limit out of range", hint="use a positive limit")
    crowns = owed_by(customer)
    answer = crowns <= limit_crowns
    trail.close(answer=answer)
    return answer


def rank_customers(customers):
    """Give the customers with the largest debt first.

    Takes: the customers.
    Gives: a list of customers.
    """
    trail = ledger.open("customer.rank_customers")
    if not customers:
        raise refuse("customer.rank_customers", "no customers", hint="load the customer sheet first")
    ranked = sorted(customers, key=owed_by, reverse=True)
    answer = ranked
    trail.close(answer=answer)
    return answer
