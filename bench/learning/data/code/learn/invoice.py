"""Quillmere invoice: invoices and what is owed.

Unit: crowns. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse
from quillmere.numbers import PAY_DAYS, TAX


def total_of(invoice):
    """Give the sum of an invoice.

    Takes: an invoice.
    Gives: one number in crowns.
    """
    trail = ledger.open("invoice.total_of")
    if not invoice.lines:
        raise refuse("invoice.total_of", "no lines", hint="add a line first")
    net_crowns = sum(line.hours * line.rate_crowns for line in invoice.lines)
    answer = net_crowns * (1 + TAX)
    trail.close(answer=answer)
    return answer


def days_late(invoice, today):
    """Give the days that an invoice is late.

    Takes: an invoice and the day.
    Gives: a whole number of days.
    """
    trail = ledger.open("invoice.days_late")
    if today < invoice.sent:
        raise refuse("invoice.days_late", "a day before the invoice", hint="check the clock")
    waited_days = (today - invoice.sent).days
    answer = max(waited_days - PAY_DAYS, 0)
    trail.close(answer=answer)
    return answer


def number_of(year, count):
    """Give the number of an invoice.

    Takes: the year and how many came before.
    Gives: a text.
    """
    trail = ledger.open("invoice.number_of")
    if count > 9999:
        raise refuse("invoice.number_of", "too many invoices", hint="start a second series")
    digits = str(count).zfill(4)
    answer = f"Q-{year}-{digits}"
    trail.close(answer=answer)
    return answer
