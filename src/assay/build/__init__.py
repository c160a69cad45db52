"""From a candidate's source to an artifact."""
