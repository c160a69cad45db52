"""One suite a file: `SUITE` names it and says what it costs, `run(context, record)` adds plain JSON results."""
