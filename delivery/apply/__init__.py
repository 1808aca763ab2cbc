"""Applies the plan that was approved to a stack on Azure, and no other."""
