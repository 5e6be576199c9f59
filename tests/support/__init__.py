"""What tests share: real processes, real targets and a raw SOCKS5 client. All blocking, without gevent."""
