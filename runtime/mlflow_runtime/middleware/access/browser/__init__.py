"""Sign-in in a browser: Entra's code flow, and a session that is the token itself in the browser's cookies."""
