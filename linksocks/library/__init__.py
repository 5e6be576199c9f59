"""The face for programs: what they give, in their words, and what they get; see Server and Client.

A tunnel's parts: a face (`server`, `client`, on `tunnel`) that any thread calls, and that dies with its last user; a
`lifecycle`, which the face leaves behind, in the home where the roles run (linksocks.embed). What is done with a role
there is in `operations`; what the face was given and gives is in the other files.
"""
