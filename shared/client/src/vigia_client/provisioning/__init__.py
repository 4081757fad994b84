"""What an installation should hold, as files say it, compared with what it holds, and made so."""
