// Room of the plan; see README.
