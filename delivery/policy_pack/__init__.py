"""The rules over resources as a Pulumi policy pack, for `--policy-pack` of `pulumi preview` and `pulumi up`."""
