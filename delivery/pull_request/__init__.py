"""What a pull request shows: one comment for all stacks, made of plans that a job without write access has computed."""
