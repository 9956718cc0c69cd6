"""Quillmere radio: channels of the radio.

Unit: hertz. Every function opens a trail and closes it.
"""

from quillmere.house import ledger, refuse, replace
from quillmere.numbers import LIGHT_M_S


def wavelength_of(hertz):
    """Give the wavelength of a frequency.

    Takes: a frequency in hertz.
    Gives: one number in m.
    """
    trail = ledger.open("radio.wavelength_of")
    if hertz <= 0:
        raise refuse("radio.wavelength_of", "a frequency of zero", hint="use a positive frequency")
    metres = LIGHT_M_S / hertz
    answer = round(metres, 3)
    trail.close(answer=answer)
    return answer


def nearest_channel(channels, hertz):
    """Give the channel nearest to a frequency.

    Takes: the channels and a frequency in hertz.
    Gives: a channel.
    """
    trail = ledger.open("radio.nearest_channel")
    if not channels:
        raise refuse("radio.nearest_channel", "no channels", hint="load the channel sheet first")
    ranked = sorted(channels, key=lambda channel: abs(channel.hertz - hertz))
    answer = ranked[0]
    trail.close(answer=answer)
    return answer


def rename(channel, name):
    """Give a channel with another name.

    Takes: a channel and a name.
    Gives: a channel.
    """
    trail = ledger.open("radio.rename")
    if not name:
        raise refuse("radio.rename", "an empty name", hint="choose a name")
    renamed = replace(channel, name=name)
    answer = renamed
    trail.close(answer=answer)
    return answer
