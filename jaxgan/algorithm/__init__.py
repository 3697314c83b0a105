"""The GAN: its state, its step, the updates of both networks, and how penalties are applied."""
