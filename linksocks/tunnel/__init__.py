"""What a tunnel does with bytes, whoever the two sides are.

`channels` is a link with its channels: what is common to all of them and to both sides. `ends` is what is joined to a
channel: applications, targets, or another link's channel. Access rules and events stand beside both.
"""
