"""What a stack costs a month, from its resources and list prices: a shape to plan with, never a quote."""
