"""How fast questions are answered, beside what people would pick instead."""
