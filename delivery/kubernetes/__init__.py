"""What the command line does around clusters: tokens for kubectl and Pulumi, and manifests to look at."""
