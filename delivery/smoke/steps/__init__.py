"""The steps: functions that take the bench, check one thing on the server and return what they measured."""
