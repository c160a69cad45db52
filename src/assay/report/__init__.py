"""Certificates, terminal output and pages."""
