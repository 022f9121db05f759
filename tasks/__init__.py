"""What a track is: records, features, models, decoding, metric and submission file."""
