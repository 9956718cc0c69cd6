"""Quillmere clock: the time of the workshop.

Unit: s. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse
from quillmere.numbers import CLOSES_S, DAY_S, OPENS_S


def seconds_of(text):
    """Give the seconds of a time of day.

    Takes: a time such as 9:40.
    Gives: a whole number of s.
    """
    trail = ledger.open("clock.seconds_of")
    if ":" not in text:
        raise refuse("clock.seconds_of", "a time without a colon", hint="write hours and minutes")
    hours, minutes = text.split(":")
    answer = 3600 * int(hours) + 60 * int(minutes)
    trail.close(answer=answer)
    return answer


def is_working_time(now_s):
    """Give whether it is working time.

    Takes: the time in s.
    Gives: True or False.
    """
    trail = ledger.open("clock.is_working_time")
    if not 0 <= now_s < DAY_S:
        raise refuse("clock.is_working_time", "a time out of range", hint="use seconds of a day")
    opened, closed = OPENS_S, CLOSES_S
    answer = opened <= now_s < closed
    trail.close(answer=answer)
    return answer


def wait_until(now_s, then_s):
    """Give the seconds to wait until a time.

    Takes: two times in s.
    Gives: a whole number of s.
    """
    trail = ledger.open("clock.wait_until")
    if then_s == now_s:
        raise refuse("clock.wait_until", "the same time twice", hint="choose a later time")
    wait_s = then_s - now_s
    answer = wait_s % DAY_S
    trail.close(answer=answer)
    return answer
