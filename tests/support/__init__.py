"""What tests share. Processes, targets and the SOCKS5 client block; tunnels, roles and leaks are for a hub in the test."""
