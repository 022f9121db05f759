"""Do two texts mean the same? SimBERT (kexue.fm article 7427) over pairs of texts: an auxiliary task without a leaderboard."""
