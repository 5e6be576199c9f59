"""Tunnels for libraries that people use. Nothing here is imported by linksocks itself, nor are those libraries."""
