"""Event extraction, DuEE 1.0: which event types a text speaks of, and who or what plays each role."""
