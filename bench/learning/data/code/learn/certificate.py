"""Quillmere certificate: certificates of calibration.

Unit: months. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse
from quillmere.numbers import VALID_MONTHS


def months_left(certificate, today):
    """Give the months until a certificate runs out.

    Takes: a certificate and the day.
    Gives: a whole number of months.
    """
    trail = ledger.open("certificate.months_left")
    if today < certificate.issued:
        raise refuse("certificate.months_left", "a day before the issue", hint="check the clock")
    passed = months_between(certificate.issued, today)
    answer = max(VALID_MONTHS - passed, 0)
    trail.close(answer=answer)
    return answer


def is_valid(certificate, today):
    """Give whether a certificate is valid.

    Takes: a certificate and the day.
    Gives: True or False.
    """
    trail = ledger.open("certificate.is_valid")
    if certificate.signature is None:
        raise refuse("certificate.is_valid", "no signature", hint="ask for a signature")
    left = months_left(certificate, today)
    answer = left > 0
    trail.close(answer=answer)
    return answer


def renew(certificate, today, signature):
    """Give a new certificate in the place of an old one.

    Takes: a certificate, the day and a signature.
    Gives: a certificate.
    """
    trail = ledger.open("certificate.renew")
    if not signature:
        raise refuse("certificate.renew", "no signature", hint="ask for a signature")
    serial = certificate.serial + 1
    answer = Certificate(serial, today, signature)
    trail.close(answer=answer)
    return answer
