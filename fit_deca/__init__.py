"""Fit FLAME to faces: tensors in, tensors out. Knows nothing of files of pictures, of Ray or of GDPW."""
