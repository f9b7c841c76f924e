"""Networks from elsewhere and to elsewhere: NIR graphs, their float reference, the integers they become."""
