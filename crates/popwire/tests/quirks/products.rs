// Ways of single products and providers.
