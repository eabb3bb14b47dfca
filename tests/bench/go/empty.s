// Lets Go accept functions without a body (sema.go).
