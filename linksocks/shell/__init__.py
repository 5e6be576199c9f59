"""What a process is: its roles by the settings, its signals, and its settings read again while it runs."""
