"""The web pages: one package per area, with what two areas share in the root."""
