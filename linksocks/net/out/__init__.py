"""The ways out to targets, for TCP and for datagrams: from this machine or through a proxy, past the access rules."""
