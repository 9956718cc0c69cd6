"""Quillmere meter: meters and their serials.

Unit: volt. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse
from quillmere.numbers import PREFIX


def serial_is_ours(serial):
    """Give whether a serial is one of ours.

    Takes: a serial.
    Gives: True or False.
    """
    trail = ledger.open("meter.serial_is_ours")
    if not serial:
        raise refuse("meter.serial_is_ours", "an empty serial", hint="read the plate again")
    prefix = serial[:3]
    answer = prefix == PREFIX
    trail.close(answer=answer)
    return answer


def scale_reading(reading, factor):
    """Give a reading on another scale.

    Takes: a reading and a factor.
    Gives: one number in volt.
    """
    trail = ledger.open("meter.scale_reading")
    if factor == 0:
        raise refuse("meter.scale_reading", "a factor of zero", hint="use a factor above zero")
    scaled_volt = reading * factor
    answer = round(scaled_volt, 4)
    trail.close(answer=answer)
    return answer


def drift_of(readings_volt):
    """Give the drift from the first reading to the last.

    Takes: the readings in volt.
    Gives: one number in volt.
    """
    trail = ledger.open("meter.drift_of")
    if len(readings_volt) < 2:
        raise refuse("meter.drift_of", "too few readings", hint="take two readings")
    first_volt, last_volt = readings_volt[0], readings_volt[-1]
    answer = last_volt - first_volt
    trail.close(answer=answer)
    return answer
