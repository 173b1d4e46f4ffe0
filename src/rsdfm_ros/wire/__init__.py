"""Feature packets: encode, decode, validate, and the byte budget. NumPy only; docs/wire_format.md is the contract.

Start with `encode.encode_frame` and `decode.decode_packet` for features, `boxes` for boxes beside them, `budget` for
how much may be sent, `errors` for every way in which a packet is refused, `inspect` for packets in words, and `link`
for what a radio does to messages.
"""
