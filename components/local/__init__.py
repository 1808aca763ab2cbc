"""Where the emulators' modules were. The state of a local stack names one of them by its path."""
