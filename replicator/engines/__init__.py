"""One folder is one engine. A new one needs no other edit."""
