"""An offline Azure behind the real engine: strict, kept as JSON, named a stand-in."""
