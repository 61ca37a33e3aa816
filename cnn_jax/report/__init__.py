"""What a run leaves behind: its log, its progress on the screen and its figures."""
