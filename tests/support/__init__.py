"""Real parts for the tests: Redis, PostgreSQL, the site as processes, and somebody who visits
it.
"""
