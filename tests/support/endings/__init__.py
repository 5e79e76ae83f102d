"""A Django app with tasks that end in every way in which a task can, and a site that runs it."""
