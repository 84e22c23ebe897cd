class Gateway: pass
