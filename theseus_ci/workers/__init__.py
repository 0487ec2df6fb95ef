"""One load from many workers: their order, their timetable, and the way their samples travel.

Values and pure functions, shared by the worker that sends (`theseus_ci.load.share`) and the command
that gathers (`theseus_ci.rollout.load_pods`).
"""
