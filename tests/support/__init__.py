"""What tests share. Processes, targets and the SOCKS5 client block; tunnels, roles and leaks need a hub."""
