"""What a channel is joined to: an application's connection, a target's, a UDP association, or another channel."""
