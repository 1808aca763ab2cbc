"""The calls that training makes most, answered without MLflow's own handlers: in one statement, asynchronously.

It answers what succeeds and nothing else. A request that it does not fully understand, that MLflow would refuse, or
whose statement has nothing to do, goes to MLflow untouched: every refusal and every oddity is MLflow's own.
"""
