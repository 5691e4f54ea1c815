"""The spellings that everything signed rests on: canonical JSON, base64, keys and hashes as text, proofs."""
