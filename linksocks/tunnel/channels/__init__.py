"""A link and its channels: messages in and out, opening and ending, flow control, limits and counts."""
