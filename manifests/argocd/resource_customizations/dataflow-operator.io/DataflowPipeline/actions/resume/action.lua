-- False, and not absent: a manifest that says either is then as the object is.
obj.spec.suspend = false
return obj
